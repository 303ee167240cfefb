package build

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moss-sandbox/moss/image"
	"github.com/moss-sandbox/moss/image/build/dockerfile"
)

// BaseKind is what a stage stands on.
type BaseKind int

// The kinds of bases.
const (
	BaseScratch BaseKind = iota
	BaseStage
	BaseImage
	BaseContext // a named context that is a directory
)

// A Base is what a stage stands on, or what files are copied from.
type Base struct {
	Kind  BaseKind
	Stage int    // BaseStage
	Name  string // BaseImage: as written, expanded; BaseContext: the context's name
}

// A Plan is a Dockerfile made ready: which stages the target needs and what they stand on. It is pure data, made without
// looking at anything but its arguments.
type Plan struct {
	File     *dockerfile.File
	Stages   []PlannedStage
	Target   int
	Steps    int               // instructions of the needed stages, FROMs included
	Platform image.Platform    // of the result
	Globals  map[string]string // ARGs before the first FROM and the automatic platform ARGs
}

// A PlannedStage is a stage of the plan.
type PlannedStage struct {
	Name     string // "" without AS
	Base     Base
	Platform image.Platform
	Deps     []int // stages it copies from or stands on
	Needed   bool
	First    int // number of its FROM
}

// NewPlan resolves what can be known before anything runs.
func NewPlan(f *dockerfile.File, o Options) (*Plan, error) {
	p := &Plan{File: f, Platform: o.Platform}
	if p.Platform.OS == "" {
		p.Platform = image.HostPlatform()
	}
	if err := p.globals(o); err != nil {
		return nil, err
	}
	for i := range f.Stages {
		if err := p.stage(i, o); err != nil {
			return nil, err
		}
	}
	for i := range f.Stages {
		if err := p.dependencies(i, o); err != nil {
			return nil, err
		}
	}
	if err := p.aim(o.Target); err != nil {
		return nil, err
	}
	p.number(len(o.Labels) > 0)
	return p, nil
}

// globals expands the ARGs before the first FROM, in order, each seeing those before it.
func (p *Plan) globals(o Options) error {
	p.Globals = platformArgs(p.Platform, o.Target)
	for k, v := range o.BuildArgs {
		if _, ok := p.Globals[k]; ok {
			p.Globals[k] = v
		}
	}
	for _, a := range p.File.MetaArgs {
		if v, ok := o.BuildArgs[a.Name]; ok {
			p.Globals[a.Name] = v
			continue
		}
		if a.Default == nil {
			continue
		}
		v, err := p.File.Word(dockerfile.NewExpander(list(p.Globals)), *a.Default)
		if err != nil {
			return p.File.ErrorAt(1, err)
		}
		p.Globals[a.Name] = v
	}
	return nil
}

// platformArgs are the automatic ARGs of BuildKit.
func platformArgs(target image.Platform, stage string) map[string]string {
	host := image.HostPlatform()
	if stage == "" {
		stage = "default"
	}
	return map[string]string{
		"BUILDPLATFORM": host.String(), "BUILDOS": host.OS, "BUILDARCH": host.Architecture, "BUILDVARIANT": host.Variant, "BUILDOSVERSION": host.OSVersion,
		"TARGETPLATFORM": target.String(), "TARGETOS": target.OS, "TARGETARCH": target.Architecture, "TARGETVARIANT": target.Variant,
		"TARGETOSVERSION": target.OSVersion, "TARGETSTAGE": stage,
	}
}

// list turns variables into KEY=VALUE, sorted.
func list(vars map[string]string) []string {
	out := make([]string, 0, len(vars))
	for k, v := range vars {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

func (p *Plan) stage(i int, o Options) error {
	s := &p.File.Stages[i]
	name, err := p.from(s.Base, s.Line)
	if err != nil {
		return err
	}
	st := PlannedStage{Name: s.Name, Platform: p.Platform, Base: p.base(name, i, o)}
	if named, ok := namedContext(o, s.Name); ok && s.Name != "" {
		st.Base = namedBase(named, s.Name)
	}
	if s.Platform != "" {
		v, err := p.from(s.Platform, s.Line)
		if err != nil {
			return err
		}
		if st.Platform, err = image.ParsePlatform(v); err != nil {
			return p.File.ErrorAt(s.Line, err)
		}
	}
	p.Stages = append(p.Stages, st)
	return nil
}

// from expands a word of a FROM line.
func (p *Plan) from(word string, line int) (string, error) {
	v, err := p.File.Word(dockerfile.NewExpander(list(p.Globals)), word)
	if err != nil {
		return "", p.File.ErrorAt(line, err)
	}
	if v == "" {
		return "", p.File.ErrorAt(line, &BlankError{Word: word, Globals: p.Globals})
	}
	return v, nil
}

// A BlankError is a FROM whose variable has no value.
type BlankError struct {
	Word    string
	Globals map[string]string
}

func (e *BlankError) Error() string { return fmt.Sprintf("base name (%s) should not be blank", e.Word) }

// Hints says how the variable gets a value.
func (e *BlankError) Hints() []string {
	name := strings.Trim(e.Word, "${}")
	if near := dockerfile.Nearest(name, sortedKeys(e.Globals)); near != "" && near != name {
		return []string{fmt.Sprintf("did you mean $%s?", near)}
	}
	return []string{fmt.Sprintf("give it a value with --build-arg %s=…, or declare ARG %s=… before the first FROM", name, name)}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// base finds what a name in stage i's FROM means: an earlier stage, a named context, scratch, an image.
func (p *Plan) base(name string, i int, o Options) Base {
	for j := i - 1; j >= 0; j-- {
		if p.Stages[j].Name != "" && strings.EqualFold(p.Stages[j].Name, name) {
			return Base{Kind: BaseStage, Stage: j}
		}
	}
	if name == "scratch" {
		return Base{Kind: BaseScratch}
	}
	if named, ok := namedContext(o, name); ok {
		return namedBase(named, name)
	}
	return Base{Kind: BaseImage, Name: name}
}

const imageScheme = "docker-image://"

func namedBase(value, name string) Base {
	if img, ok := strings.CutPrefix(value, imageScheme); ok {
		return Base{Kind: BaseImage, Name: img}
	}
	return Base{Kind: BaseContext, Name: name}
}

// namedContext finds a --build-context; names are compared without case.
func namedContext(o Options, name string) (string, bool) {
	for k, v := range o.Contexts {
		if strings.EqualFold(k, name) {
			return v, true
		}
	}
	return "", false
}

// Source finds what --from of stage i means.
func (p *Plan) Source(from string, i int, o Options) (Base, error) {
	if n, err := strconv.Atoi(from); err == nil {
		if n < 0 || n >= len(p.Stages) {
			return Base{}, fmt.Errorf("invalid stage index %d: the Dockerfile has %d stages", n, len(p.Stages))
		}
		return p.earlier(n, i)
	}
	for j := range p.File.Stages {
		if p.File.Stages[j].Name != "" && strings.EqualFold(p.File.Stages[j].Name, from) {
			return p.earlier(j, i)
		}
	}
	if strings.Contains(from, "$") {
		return Base{}, errors.New("variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround")
	}
	if from == "scratch" {
		return Base{Kind: BaseScratch}, nil
	}
	return p.base(from, 0, o), nil
}

// earlier refuses what would be a circle.
func (p *Plan) earlier(j, i int) (Base, error) {
	if j < i {
		return Base{Kind: BaseStage, Stage: j}, nil
	}
	if j == i || p.reaches(j, i) {
		return Base{}, fmt.Errorf("circular dependency detected on stage: %s", p.label(i))
	}
	return Base{}, fmt.Errorf("cannot copy from stage %q, it needs to be defined before current stage %q", p.label(j), p.label(i))
}

// reaches tells whether stage j, by what its text says, needs stage i.
func (p *Plan) reaches(j, i int) bool {
	for _, name := range p.names(j) {
		if strings.EqualFold(name, p.File.Stages[i].Name) || name == strconv.Itoa(i) {
			return true
		}
	}
	return p.Stages[j].Base.Kind == BaseStage && (p.Stages[j].Base.Stage == i || p.reaches(p.Stages[j].Base.Stage, i))
}

// names lists the --from and from= of a stage.
func (p *Plan) names(i int) []string {
	var out []string
	for _, in := range p.File.Stages[i].Instructions {
		if in.From != "" {
			out = append(out, in.From)
		}
		out = append(out, in.MountSources()...)
	}
	return out
}

func (p *Plan) label(i int) string {
	if p.Stages[i].Name != "" {
		return p.Stages[i].Name
	}
	return fmt.Sprintf("stage-%d", i)
}

func (p *Plan) dependencies(i int, o Options) error {
	s := &p.Stages[i]
	if s.Base.Kind == BaseStage {
		s.Deps = append(s.Deps, s.Base.Stage)
	}
	for _, in := range p.File.Stages[i].Instructions {
		from := in.MountSources()
		if in.From != "" {
			from = append(from, in.From)
		}
		for _, name := range from {
			b, err := p.Source(name, i, o)
			if err != nil {
				return p.File.ErrorAt(in.Line, err)
			}
			if b.Kind == BaseStage && !slices.Contains(s.Deps, b.Stage) {
				s.Deps = append(s.Deps, b.Stage)
			}
		}
	}
	return nil
}

// aim marks the stages that the target needs.
func (p *Plan) aim(target string) error {
	p.Target = len(p.Stages) - 1
	if target != "" {
		i := p.find(target)
		if i < 0 {
			return p.noTarget(target)
		}
		p.Target = i
	}
	p.need(p.Target)
	return nil
}

func (p *Plan) find(target string) int {
	for i := range p.Stages {
		if strings.EqualFold(p.Stages[i].Name, target) {
			return i
		}
	}
	if n, err := strconv.Atoi(target); err == nil && n >= 0 && n < len(p.Stages) {
		return n
	}
	return -1
}

func (p *Plan) noTarget(target string) error {
	e := &TargetError{Target: target}
	for _, s := range p.Stages {
		if s.Name != "" {
			e.Stages = append(e.Stages, s.Name)
		}
	}
	e.Near = dockerfile.Nearest(target, e.Stages)
	return e
}

func (p *Plan) need(i int) {
	if p.Stages[i].Needed {
		return
	}
	p.Stages[i].Needed = true
	for _, d := range p.Stages[i].Deps {
		p.need(d)
	}
}

// number gives the steps of the needed stages their numbers, in the order of the file.
func (p *Plan) number(labels bool) {
	n := 0
	for i := range p.Stages {
		if !p.Stages[i].Needed {
			continue
		}
		p.Stages[i].First = n + 1
		n = p.last(i, labels)
	}
	p.Steps = n
}

// last is the number of a stage's last step; labels of the command line are one more step of the target.
func (p *Plan) last(i int, labels bool) int {
	n := p.Stages[i].First + len(p.File.Stages[i].Instructions)
	if labels && i == p.Target {
		n++
	}
	return n
}
