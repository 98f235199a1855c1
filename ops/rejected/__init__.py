"""`nacre rejected`: rejected rows looked at, mended, and sent again."""
