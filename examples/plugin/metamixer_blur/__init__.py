"""Two words for metamixer; importing `metamixer_blur.words` registers them."""
