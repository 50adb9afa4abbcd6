"""Engines run plans of four primitives (read, map, group, write) over Arrow tables; steps never know which one."""
