"""What the three services share, in packages whose arrows run one way."""
