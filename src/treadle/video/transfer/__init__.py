"""From a prompt to a video that follows control maps: what to ask for, in whose words, and who carries it out."""
