package api

import "net/http"

// table is everything that is served.
func (s *Server) table() []route {
	all := s.containerRoutes()
	all = append(all, s.imageRoutes()...)
	all = append(all, s.systemRoutes()...)
	return append(all, s.otherRoutes()...)
}

func (s *Server) containerRoutes() []route {
	return []route{
		on("GET", "/containers/json", s.list), on("POST", "/containers/create", s.create), on("POST", "/containers/prune", s.pruneContainers),
		on("GET", "/containers/{name}/json", s.inspect), on("GET", "/containers/{name}/top", s.top), on("GET", "/containers/{name}/logs", s.logs),
		on("GET", "/containers/{name}/changes", s.changes), on("GET", "/containers/{name}/export", s.export),
		on("POST", "/containers/{name}/start", s.start), on("POST", "/containers/{name}/stop", s.stop), on("POST", "/containers/{name}/restart", s.restart),
		on("POST", "/containers/{name}/kill", s.kill), on("POST", "/containers/{name}/rename", s.rename), on("POST", "/containers/{name}/wait", s.wait),
		on("POST", "/containers/{name}/pause", s.pause), on("POST", "/containers/{name}/unpause", s.unpause),
		on("POST", "/containers/{name}/update", s.update), on("GET", "/containers/{name}/stats", s.stats),
		on("POST", "/containers/{name}/resize", s.resize), on("POST", "/containers/{name}/attach", s.attach), on("DELETE", "/containers/{name}", s.remove),
		on("HEAD", "/containers/{name}/archive", s.archiveHead), on("GET", "/containers/{name}/archive", s.archiveGet), on("PUT", "/containers/{name}/archive", s.archivePut),
		on("POST", "/containers/{name}/exec", s.execCreate), on("POST", "/exec/{id}/start", s.execStart),
		on("POST", "/exec/{id}/resize", s.execResize), on("GET", "/exec/{id}/json", s.execInspect),
	}
}

func (s *Server) imageRoutes() []route {
	return []route{
		on("GET", "/images/json", s.imageList), on("POST", "/images/create", s.imageCreate), on("GET", "/images/search", s.search),
		on("GET", "/images/get", s.imageSave), on("POST", "/images/load", s.imageLoad), on("POST", "/images/prune", s.pruneImages),
		on("GET", "/images/{name...}/json", s.imageInspect), on("GET", "/images/{name...}/history", s.imageHistory), on("GET", "/images/{name...}/get", s.imageSave),
		on("POST", "/images/{name...}/push", s.push), on("POST", "/images/{name...}/tag", s.tag), on("DELETE", "/images/{name...}", s.imageRemove),
		on("POST", "/commit", s.commit), on("POST", "/build", s.build), on("POST", "/build/prune", s.pruneBuild), on("GET", "/distribution/{name...}/json", s.distribution),
	}
}

func (s *Server) systemRoutes() []route {
	return []route{
		on("GET", "/_ping", s.ping), on("HEAD", "/_ping", s.ping), on("GET", "/version", s.versions), on("GET", "/info", s.info),
		on("GET", "/events", s.events), on("GET", "/system/df", s.usage), on("POST", "/auth", s.auth),
		on("GET", "/plugins", func(q *request) error { return q.ok([]string{}) }),
		on("GET", "/swarm", noSwarm), on("GET", "/nodes", noSwarm), on("GET", "/services", noSwarm), on("GET", "/tasks", noSwarm), on("GET", "/secrets", noSwarm), on("GET", "/configs", noSwarm),
	}
}

func (s *Server) otherRoutes() []route {
	return []route{
		on("GET", "/networks", s.networkList), on("POST", "/networks/create", s.networkCreate), on("POST", "/networks/prune", s.pruneNetworks),
		on("GET", "/networks/{name}", s.networkInspect), on("DELETE", "/networks/{name}", s.networkRemove),
		on("POST", "/networks/{name}/connect", s.networkConnect), on("POST", "/networks/{name}/disconnect", s.networkDisconnect),
		on("GET", "/volumes", s.volumeList), on("POST", "/volumes/create", s.volumeCreate), on("POST", "/volumes/prune", s.pruneVolumes),
		on("GET", "/volumes/{name}", s.volumeInspect), on("DELETE", "/volumes/{name}", s.volumeRemove),
	}
}

func noSwarm(*request) error {
	return &statusError{http.StatusServiceUnavailable, "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."}
}
