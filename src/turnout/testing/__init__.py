"""Public test kit: conformance classes, fakes and real servers. Nothing that ships imports it."""
