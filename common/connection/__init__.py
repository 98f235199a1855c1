"""How a client reaches the brokers and authenticates: TLS, passwords, tokens, and the files that hold them."""
