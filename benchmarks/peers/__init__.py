"""The same work with other libraries, each written as a competent user of it would."""
