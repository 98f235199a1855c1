"""`nacre verify`: whether the files are what they have to be, found out without the services' own code."""
