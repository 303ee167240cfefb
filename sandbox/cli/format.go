//go:build !hot

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/template"
)

// functions are those of Docker's Go templates (docs.docker.com, "Format command and log output").
var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		err := e.Encode(v)
		return strings.TrimSpace(b.String()), err
	},
	"split": strings.Split, "join": strings.Join, "title": title, "lower": strings.ToLower, "upper": strings.ToUpper,
	"pad": func(s string, before, after int) string {
		return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
	},
	"truncate": func(s string, n int) string { return string([]rune(s)[:min(n, len([]rune(s)))]) },
	"println":  fmt.Sprintln,
}

func title(s string) string {
	words := strings.Fields(s)
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}

// parseTemplate reads a --format.
func parseTemplate(format string) (*template.Template, error) {
	t, err := template.New("").Funcs(functions).Parse(format)
	if err != nil {
		return nil, fmt.Errorf("template parsing error: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return t, nil
}

// execute prints a value by a template. Where a Go field is missing, the value's JSON is tried: templates may use either
// form of a name, as with Docker's inspect.
func execute(w io.Writer, t *template.Template, v any) error {
	var b bytes.Buffer
	err := t.Execute(&b, v)
	if err != nil {
		raw, jerr := json.Marshal(v)
		if jerr != nil {
			return jerr
		}
		var m any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if jerr := d.Decode(&m); jerr != nil {
			return jerr
		}
		b.Reset()
		if t.Option("missingkey=error").Execute(&b, m) != nil {
			return fmt.Errorf("template parsing error: %s", strings.TrimPrefix(err.Error(), "template: "))
		}
	}
	_, err = fmt.Fprintln(w, b.String())
	return err
}

// rows prints values as --format says: a template, "table TEMPLATE" with a heading, or json. Heads are the columns' names
// by field.
func rows[T any](w io.Writer, format string, heads map[string]string, values []T) error {
	if format == "json" {
		format = "{{json .}}"
	}
	columns, isTable := strings.CutPrefix(format, "table")
	if isTable {
		columns = strings.TrimSpace(columns)
	}
	columns = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(columns)
	t, err := parseTemplate(columns)
	if err != nil {
		return err
	}
	var lines []string
	if isTable {
		var b bytes.Buffer
		if err := t.Execute(&b, heads); err != nil {
			return fmt.Errorf("template parsing error: %w", err)
		}
		lines = append(lines, b.String())
	}
	for _, v := range values {
		var b bytes.Buffer
		if err := t.Execute(&b, fields(v, columns)); err != nil {
			return fmt.Errorf("template parsing error: %s", strings.TrimPrefix(err.Error(), "template: "))
		}
		lines = append(lines, b.String())
	}
	if !isTable {
		for _, l := range lines {
			fmt.Fprintln(w, l)
		}
		return nil
	}
	tab := &table{}
	for _, l := range lines {
		tab.row(strings.Split(l, "\t")...)
	}
	if len(tab.rows) > 0 {
		tab.print(w)
	}
	return nil
}

// fields is what a row's template sees: the row itself, or for {{json .}} its fields by name in their order.
func fields(v any, format string) any {
	if strings.Contains(format, "json .}}") {
		return ordered{reflect.ValueOf(v)}
	}
	return v
}

// ordered marshals a struct of strings and functions without arguments as one object.
type ordered struct{ v reflect.Value }

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	m := map[string]string{}
	for i := range o.v.NumField() {
		if !o.v.Type().Field(i).IsExported() {
			continue
		}
		m[o.v.Type().Field(i).Name] = fmt.Sprint(o.v.Field(i).Interface())
	}
	return json.Marshal(m)
}
