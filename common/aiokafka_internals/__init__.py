"""Every private name of aiokafka that Nacre uses or replaces."""
