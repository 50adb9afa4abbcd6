"""Quality models side by side: how well they tell texts apart, and how fast they are, beside fastText's library."""
