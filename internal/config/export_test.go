package config

// Names returns the names of all settings.
var Names = names
