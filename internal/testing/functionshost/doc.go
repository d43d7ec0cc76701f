// Package functionshost stands in for the Azure Functions host in tests. It reads the
// host.json and function.json files of an app, starts the app's custom handler, and
// forwards requests and timer calls to the handler as the real host does. It loses
// what the real host loses.
//
// The real host rebuilds every request, holds requests while the handler starts,
// restarts the handler depending on its exit code, and ends it by SIGKILL. Without this
// package, a handler would meet this behavior in production for the first time.
//
// The package is for tests only: no shipped code may import it. It uses 127.0.0.1 and no
// other address. Like the platform, it never sends the handler a SIGTERM. It refuses
// features that it does not imitate.
//
// The behavior was read from the host's source (4.1037 to 4.1052). Where it also depends
// on a .NET library that was not observed at run time, the comment says "inferred".
package functionshost
