"""What the three services share: each package is one room, and the arrows between them run one way."""
