"""What every page for a browser is made of: colours, and uPlot for the plots."""
