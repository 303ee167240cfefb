package course

import (
	"os"
	"syscall"
	"time"

	"github.com/moss-sandbox/moss/tests/harness"
)

// psColumns are those of docker ps.
var psColumns = []string{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"}

// files: "Isolation, files between containers".
func (s *student) files() {
	s.wants("docker run -itd --name ashuc1  alpine sleep 1000", fullID)
	s.wants("docker run -itd --name ashuc2  alpine sleep 1000", fullID)
	term := s.at("docker  exec -it ashuc1 sh")
	term.Type("ls\r")
	term.Expect(`bin +dev +etc`)
	term.Type("echo hey >/helloc1.txt\r")
	term.Type("ls\r")
	term.Expect(`helloc1\.txt`)
	term.Type("exit\r")
	if code := term.Wait(); code != 0 {
		s.t.Errorf("exec ends with %d", code)
	}
	s.sh("docker  cp  ashuc1:/helloc1.txt  .")
	st, err := os.Stat(s.Work + "/helloc1.txt")
	must(s.t, err)
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != s.UID {
		s.t.Errorf("helloc1.txt belongs to %d, the student is %d", owner, s.UID)
	}
	s.sh("docker cp helloc1.txt   ashuc2:/tmp/")
	term = s.at("docker exec -it ashuc2 ls /tmp")
	term.Expect(`helloc1\.txt`)
	if code := term.Wait(); code != 0 {
		s.t.Errorf("exec ends with %d", code)
	}
	s.wants("docker exec ashuc1 ls /tmp", "") // the other one does not see it
	s.sh("docker rm -f ashuc1 ashuc2")
}

// statsColumns are those of docker stats.
var statsColumns = []string{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}

// limits: "Limits and stats".
func (s *student) limits() {
	s.write(s.Work+"/ashupy/Dockerfile", "FROM alpine\nCMD [\"sleep\", \"1000\"]\n")
	s.sh("docker build -t ashupy:2.1 ashupy")
	s.wants("docker run -itd --name ashutest1  --memory 200M  ashupy:2.1", fullID)
	s.wants("docker run -itd --name ashutest2  --cpuset-cpus=1 --cpu-shares=400  ashupy:2.1", fullID)
	s.fails("docker run -itd --name ashutest2  --cpuset-cpus=1 --cpu-shares=400  --memory 500M ashupy:2.1", 125,
		`The container name "/ashutest2" is already in use by container "`)
	s.wants("docker  run -itd --name ashux1 alpine ping 127.0.0.1", fullID)
	s.has(s.find(s.table("docker  ps", psColumns...), "NAMES", "ashux1"), "CONTAINER ID", shortID, "IMAGE", "alpine",
		"COMMAND", `"ping 127\.0\.0\.1"`, "CREATED", ago, "STATUS", `Up (\d+ seconds?|Less than a second)`, "PORTS", "")
	s.wants("docker  run -itd --name ashux2  --memory 100m --cpu-shares=20  alpine ping 127.0.0.1", fullID)
	rows := s.table("docker stats --no-stream", statsColumns...)
	io := size + " / " + size
	s.has(s.find(rows, "NAME", "ashutest1"), "CONTAINER ID", shortID, "CPU %", `[0-9.]+%`, "MEM USAGE / LIMIT", binary+" / 200MiB",
		"MEM %", `[0-9.]+%`, "NET I/O", io, "BLOCK I/O", io, "PIDS", "1")
	s.has(s.find(rows, "NAME", "ashutest2"), "MEM USAGE / LIMIT", binary+` / [0-9.]+GiB`)
	s.has(s.find(rows, "NAME", "ashux2"), "MEM USAGE / LIMIT", binary+" / 100MiB")
	if rows := s.table("docker stats ashux1 --no-stream", statsColumns...); len(rows) != 1 || rows[0]["NAME"] != "ashux1" {
		s.t.Errorf("stats of one: %q", rows)
	}
	s.live("docker stats ashux1")
	s.sh("docker rm -f ashutest1 ashutest2 ashux2")
}

// live wants a display at a terminal that goes on until Ctrl-C.
func (s *student) live(line string) {
	s.t.Helper()
	term := s.at(line)
	for range 2 { // it is written again and again
		term.Expect(`ashux1 .*` + binary + ` / ` + binary)
	}
	term.Type("\x03")
	if code := term.Wait(); code != 0 && code != 130 {
		s.t.Errorf("%s ends with %d", line, code)
	}
}

// restarts: "Restart policy".
func (s *student) restarts() {
	s.wants("docker  run -itd --name ashux3  --memory 100m --cpu-shares=20  --restart always alpine ping 127.0.0.1", fullID)
	s.wants("docker  inspect  ashux3  -f '{{.HostConfig.RestartPolicy}}'", `\{always 0\}`)
	s.wants("docker  inspect  ashux3  -f '{{.HostConfig.RestartPolicy.Name}}'", "always")
	s.wants("docker  inspect  ashux1  -f '{{.HostConfig.RestartPolicy.Name}}'", "no")
	s.sh("docker exec ashux3 kill -9 1 || docker exec ashux3 true") // a signal from inside does not reach pid 1
	pid := s.sh("docker inspect -f '{{.State.Pid}}' ashux3")
	s.sh("kill -9 " + pid) // the student's own process: it comes back
	harness.Eventually(s.t, 30*time.Second, "ashux3 is running again", func() bool {
		r := s.try("docker inspect -f '{{.State.Running}} {{.RestartCount}}' ashux3")
		return r.Stdout == "true 1\n"
	})
	s.sh("docker rm -f ashux1 ashux3")
}
