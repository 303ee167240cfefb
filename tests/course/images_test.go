package course

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

const flaskFile = `FROM ubuntu
MAINTAINER  ashutoshh@linux.com
RUN apt update
RUN apt install python3 -y
RUN     apt install python3-pip -y 
# to install flask we need pip3 command 
RUN mkdir /webapp
COPY  . /webapp/
WORKDIR /webapp
RUN pip3 install -r requirements.txt
EXPOSE 5000
CMD ["python3","demo.py"]
`

// flaskProgram is a web application that needs what pip has installed; Flask itself would come from the Internet.
const flaskProgram = `import greeting, http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(greeting.TEXT.encode())
    def log_message(self, *a): pass
http.server.HTTPServer(("0.0.0.0", 5000), H).serve_forever()
`

var (
	historyColumns = []string{"IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"}
	imagesColumns  = []string{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}
)

// flask: "Building and running a Flask application".
func (s *student) flask() {
	s.write(s.Work+"/flask/ashu.dockerfile", flaskFile)
	s.write(s.Work+"/flask/demo.py", flaskProgram)
	s.write(s.Work+"/flask/requirements.txt", "--index-url http://host.docker.internal:"+s.index+"/simple\n--trusted-host host.docker.internal\ngreeting==1.0\n")
	out := s.sh("cd flask; docker  build  -t  ashuflask:v001  -f  ashu.dockerfile  .")
	for _, want := range []string{"Step 5/11 : RUN     apt install python3-pip -y\n", "Step 11/11 : CMD [\"python3\",\"demo.py\"]\n", "Successfully tagged ashuflask:v001"} {
		if !strings.Contains(out, want) {
			s.t.Errorf("build lacks %q:\n%s", want, out[max(0, len(out)-1000):])
		}
	}
	id := s.steps()
	s.wants("docker  inspect  ashuflask:v001    |   grep -i ashu", `(?s:.*"Author": "ashutoshh@linux.com".*)`)
	s.has(s.find(s.table("docker  images", imagesColumns...), "REPOSITORY", "ashuflask"), "TAG", "v001", "IMAGE ID", shortID, "CREATED", ago, "SIZE", size)
	s.wants("docker  tag  "+id+"   common:flasklayer", "")
	s.wants("docker images -q common:flasklayer", id)
	s.wants("docker  run  -itd  --name ashuc1  -p  "+s.port+":5000  ashuflask:v001", fullID)
	s.has(s.find(s.table("docker  ps", psColumns...), "NAMES", "ashuc1"), "IMAGE", "ashuflask:v001", "COMMAND", `"python3 demo.py"`,
		"PORTS", regexp.QuoteMeta("0.0.0.0:"+s.port+"->5000/tcp")+`(, \[::\]:\d+->5000/tcp)?`)
	s.answers()
	s.sh("docker rm -f ashuc1")
}

// steps wants a row per step of the Flask file in the history, each with an id, and returns one of a step in the middle.
func (s *student) steps() string {
	s.t.Helper()
	rows := s.table("docker  history  ashuflask:v001", historyColumns...)
	base := s.table("docker history ubuntu", historyColumns...)
	if len(rows) != 10+len(base) {
		s.t.Fatalf("%d rows over %d of the base, want one for each instruction but FROM", len(rows), len(base))
	}
	for _, r := range rows[:len(rows)-len(base)] {
		s.has(r, "IMAGE", shortID, "CREATED", ago, "SIZE", size, "COMMENT", "")
	}
	s.has(rows[0], "CREATED BY", regexp.QuoteMeta(`/bin/sh -c #(nop)  CMD ["python3" "demo.py"]`))
	return s.rowWith(rows, "CREATED BY", "apt install python3 -y")["IMAGE"]
}

func (s *student) rowWith(rows []row, column, part string) row {
	s.t.Helper()
	for _, r := range rows {
		if strings.Contains(r[column], part) {
			return r
		}
	}
	s.t.Fatalf("no row with %q in %q", part, rows)
	return nil
}

// answers asks the web application over its published port.
func (s *student) answers() {
	s.t.Helper()
	harness.Eventually(s.t, 60*time.Second, "the web application answers", func() bool {
		r, err := http.Get("http://127.0.0.1:" + s.port + "/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b) == "hello from a wheel"
	})
}

// sharing: tag, log in, push; then what was pushed is pulled and run again.
func (s *student) sharing() {
	name := dockerID + "/ashuflask-" + s.Account.Name + ":v001" // one repository would tell the second student "Layer already exists"
	s.wants("docker   tag   ashuflask:v001   "+name, "")
	s.login()
	out := s.sh("docker   push   " + name)
	repository, _, _ := strings.Cut(name, ":")
	lines := strings.Split(out, "\n")
	if lines[0] != "The push refers to repository [docker.io/"+repository+"]" {
		s.t.Errorf("push begins with %q", lines[0])
	}
	for form, n := range map[string]int{shortID + ": Pushed": 6, shortID + ": Mounted from library/ubuntu": 1, `v001: digest: sha256:` + fullID + ` size: \d+`: 1} {
		if got := len(regexp.MustCompile(`(?m)^`+form+`$`).FindAllString(out, -1)); got != n {
			s.t.Errorf("%d lines of the form %q, want %d:\n%s", got, form, n, out)
		}
	}
	s.wants("docker  logout", "Removing login credentials for https://index.docker.io/v1/")
	if r := s.try("docker push " + name); r.Code != 1 || !strings.Contains(r.Stderr, "push access denied for "+repository) {
		s.t.Errorf("a push without a login: %s", r)
	}
	s.sh("docker rmi " + name + " ashuflask:v001 common:flasklayer")
	s.sh("docker pull " + name)
	s.wants("docker  run  -itd  --name ashuc1  -p  "+s.port+":5000  "+name, fullID)
	s.answers()
	s.sh("docker rm -f ashuc1")
}

// login types what docker login asks for.
func (s *student) login() {
	s.t.Helper()
	term := s.at("docker  login")
	term.Expect(`Login with your Docker ID`)
	term.Expect(`Username: `)
	term.Type(dockerID + "\r")
	term.Expect(`Password: `)
	term.Type(password + "\r")
	term.Expect(`Login Succeeded`)
	if code := term.Wait(); code != 0 || strings.Contains(term.Shown(), password) {
		s.t.Errorf("login ends with %d and shows %q", code, term.Shown())
	}
}

const stagesFile = `FROM centos AS mybuilder 
MAINTAINER  ashutoshh
RUN mkdir /code
COPY hello.py  /code/
WORKDIR /code
RUN chmod +x hello.py
FROM gcr.io/distroless/python3
COPY --from=mybuilder  /code   /code1
WORKDIR /code1
CMD ["./hello.py"]
`

// stages: "Two stages".
func (s *student) stages() {
	s.write(s.Work+"/stages/Dockerfile", stagesFile)
	s.write(s.Work+"/stages/hello.py", "import os, time\nprint('hello from', os.getcwd(), oct(os.stat('hello.py').st_mode & 0o777), flush=True)\ntime.sleep(1000)\n")
	s.sh("docker build -t ashupy:multi stages")
	s.wants("docker run -d --name ashum1 ashupy:multi", fullID)
	harness.Eventually(s.t, 30*time.Second, "hello.py has spoken", func() bool {
		return s.try("docker logs ashum1").Stdout == "hello from /code1 0o755\n"
	})
	s.has(s.find(s.table("docker ps", psColumns...), "NAMES", "ashum1"), "COMMAND", `"/usr/bin/python3 \./…"`)
	term := s.at("docker exec -it ashum1 sh")
	term.Expect(`OCI runtime exec failed: exec failed: unable to start container process: exec: "sh": executable file not found in \$PATH: unknown`)
	if code := term.Wait(); code != 127 {
		s.t.Errorf("exec of a missing shell ends with %d", code)
	}
	s.sh("docker rm -f ashum1")
}
