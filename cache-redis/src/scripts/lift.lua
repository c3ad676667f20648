-- KEYS: the fences of a key.
-- ARGV: the token of the fence.
-- Lifts a fence as invalidate.lua does, for a cluster, where the journal lies elsewhere.
return lift(KEYS[1], ARGV[1])
