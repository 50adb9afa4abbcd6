"""Run folders after their build: what they hold, who needs it, whether it is whole, and what may go."""
