"""Record batches as bytes: compressed, summed and counted. No client, no loop."""
