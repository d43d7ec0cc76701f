//go:build !unix

package functionshost

import "os"

// signalNumber is 0: processes do not end by signals on this system.
func signalNumber(*os.ProcessState) int { return 0 }
