"""Which version of Nacre this is. It may run from its files alone, as in the containers, where no package says so."""

VERSION = "0.1.0"
