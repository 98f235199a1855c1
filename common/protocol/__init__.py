"""What travels through the topics and what is committed beside it, as values, and what follows from them. Pure."""
