"""How the terminal view is laid out and coloured, in the terminal's own colours."""

CSS = """
Screen { background: ansi_default; color: ansi_default; }
#banner { display: none; background: ansi_red; color: ansi_bright_white; padding: 0 1; height: auto; max-height: 3; }
#head { height: auto; padding: 0 1; }
#tabs { height: 1; padding: 0; color: ansi_default; }
#panels { height: 1fr; }
#foot { height: 1; padding: 0 1; text-style: dim; }
#filter { display: none; height: 1; border: none; padding: 0 1; background: ansi_default; color: ansi_default; }
.listing { display: none; height: 1fr; padding: 0 1; }
.listing.chosen { display: block; }
.headings { height: 1; padding-right: 1; text-style: dim; }
_Rows { height: 1fr; background: ansi_default; color: ansi_default; }
_Rows { scrollbar-size: 1 1; overflow-x: hidden; scrollbar-gutter: stable; }
.old #head, .old .listing { text-style: dim; }

.-wide.-tall #tabs { display: none; }
.-wide.-tall #panels { layout: grid; grid-size: 2 3; }
.-wide.-tall .listing { display: block; border: round ansi_bright_black; height: 100%; }
.-wide.-tall .listing:focus-within { border: round ansi_green; }
"""
