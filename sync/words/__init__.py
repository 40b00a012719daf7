"""The words we say to people, a folder a language, and how they are made to fit."""
