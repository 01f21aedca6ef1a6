"""What many tokens cost: a sweep of 100,000 at one moment, a million live ones, one owner of very many."""
