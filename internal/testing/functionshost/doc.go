// Package functionshost stands in for the Azure Functions host in tests. It reads the
// host.json and function.json files of an app, starts the app's custom handler, and
// sends requests and timer calls to the handler as the real host does in proxying mode
// (enableProxyingHttpRequest).
//
// The real host writes every request anew, holds requests while the handler starts, may
// deliver a request many times, restarts the handler depending on its exit code, and ends it
// by SIGKILL at functionTimeout. Without this package, a handler would meet this behavior in
// production for the first time.
//
// The package is for tests only: no shipped code may import it. It uses 127.0.0.1 and no
// other address. Like the platform, it never sends the handler a SIGTERM. It refuses
// features that it does not imitate.
//
// The behavior was seen on the real host (4.1037) with Kestrel and YARP, except for Azure's
// front end (Options.Edge) and Core Tools, which were read in source only.
package functionshost
