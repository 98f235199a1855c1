"""Every private name of aiokafka that Nacre uses or replaces, installed by one call and listed in a contract."""
