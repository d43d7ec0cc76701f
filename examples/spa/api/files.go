package main

import (
	"io/fs"
	"net/http"
)

// routes are the paths of the page's own routes (src/router.tsx): all of them are index.html.
var routes = []string{"/{$}", "/callback", "/notes", "/profile", "/signed-out"}

// page serves the built page. Other paths are 404, so that a wrong address is not answered with a page.
func (s *server) page(mux *http.ServeMux) {
	for _, route := range routes {
		mux.HandleFunc("GET "+route, func(w http.ResponseWriter, r *http.Request) {
			s.file(w, r, "index.html", "no-cache") // asked for again each time: it names the assets
		})
	}
	mux.HandleFunc("GET /icon.svg", func(w http.ResponseWriter, r *http.Request) {
		s.file(w, r, "icon.svg", "public, max-age=3600")
	})
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.file(w, r, "assets/"+r.PathValue("name"), "public, max-age=31536000, immutable") // the name has a hash of the content
	})
}

// file serves one file. Only its own answer may be kept, not that there is none.
func (s *server) file(w http.ResponseWriter, r *http.Request, name, cache string) {
	if info, err := fs.Stat(s.files, name); err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", cache)
	http.ServeFileFS(w, r, s.files, name)
}
