package oidc

import (
	"net/http"

	"github.com/mileusna/useragent"
)

// browsers and systems are the names that a label has. Any other text in the header would be the browser's own.
var (
	browsers = map[string]string{
		useragent.Chrome: "Chrome", useragent.HeadlessChrome: "Chrome", useragent.Edge: "Edge", useragent.Firefox: "Firefox", useragent.Safari: "Safari",
		useragent.MobileSafari: "Safari", useragent.Opera: "Opera", useragent.OperaMini: "Opera Mini", useragent.OperaTouch: "Opera", useragent.SamsungBrowser: "Samsung Internet",
		useragent.Vivaldi: "Vivaldi",
	}
	systems = map[string]string{
		useragent.Windows: "Windows", useragent.MacOS: "macOS", useragent.Linux: "Linux", useragent.Android: "Android", useragent.IOS: "iOS",
		useragent.ChromeOS: "ChromeOS", useragent.CrOS: "ChromeOS", useragent.FreeBSD: "FreeBSD", useragent.Harmony: "HarmonyOS",
	}
)

// maxUserAgent is how much of the header is read, in bytes.
const maxUserAgent = 512

// browserLabel tells the person which browser a request is of, like "Firefox, Android". It has known names alone.
func browserLabel(r *http.Request) string {
	header := r.UserAgent()
	ua := useragent.Parse(header[:min(len(header), maxUserAgent)])
	browser, system := browsers[ua.Name], systems[ua.OS]
	if browser == "" || system == "" {
		return browser + system
	}
	return browser + ", " + system
}
