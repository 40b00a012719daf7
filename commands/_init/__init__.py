"""What `init` is made of: its questions, what it proposes, the file it writes, and the folder."""
