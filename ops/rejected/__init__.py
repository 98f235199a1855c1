"""`nacre rejected`: look at rejected rows, mend them, and send them again."""
