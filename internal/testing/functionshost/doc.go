// Package functionshost stands in for the Azure Functions host in tests: it
// reads an app's host.json and function.json files, starts the app's custom
// handler and forwards requests and timer calls to it in the way the real host
// does, losses included.
//
// The real host rebuilds every request instead of passing it on, holds requests
// while the handler starts, restarts it by exit code and ends it with SIGKILL. A
// handler that was only ever called directly meets all of this first in
// production; with this package it meets it in its own tests.
//
// It is for tests only: no shipped code may import it. It listens on and talks to
// 127.0.0.1 and nothing else, it never sends the handler a SIGTERM (nor does the
// platform), and it refuses what it does not stand in for instead of guessing.
//
// What it imitates was read from the host's source (4.1037 to 4.1052). Where the
// outcome also rests on a library of .NET whose behaviour was not seen running,
// the comment says "inferred".
package functionshost
