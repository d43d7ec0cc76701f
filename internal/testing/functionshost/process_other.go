//go:build !unix

package functionshost

import "os"

// signalNumber is 0 where processes do not end by signals.
func signalNumber(*os.ProcessState) int { return 0 }
