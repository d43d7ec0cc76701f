// Command gen prints the regions that phone numbers have, one on a line, for regions.mjs.
package main

import (
	"fmt"

	"twofa/internal/phone"
)

func main() {
	for _, r := range phone.Regions() {
		fmt.Println(r)
	}
}
