"""How a client reaches the brokers and proves who it is: TLS, passwords, tokens, and the files they are in."""
