"""The memory: the only SQL. Everything durable is written here and nowhere else."""
