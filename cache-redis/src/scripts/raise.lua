-- KEYS: the fences of a key.
-- ARGV: the token of the fence; for how many milliseconds it holds.
-- Puts up a fence as fence.lua does, for a cluster, where the journal lies elsewhere.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
raise(KEYS[1], ARGV[1], now, ARGV[2])
return 1
