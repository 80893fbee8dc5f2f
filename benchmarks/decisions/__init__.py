"""How good the decisions are: the program's statistics beside the rules of others, on the same made-up traffic."""
