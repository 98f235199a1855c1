"""What is written of the whole output folder: manifest, data package, and that a run has succeeded."""
