"""Small models that mixtures are judged by: matched pairs for `pomona compare`, many mixtures for `pomona optimize`."""
