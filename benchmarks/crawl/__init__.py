"""A crawl of real pages on many virtual hosts, beside Scrapy on the same site."""
