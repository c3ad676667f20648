-- KEYS: the journal; its last position; the data keys; the fences of each of them.
-- ARGV: the record; the channel; the number of records to keep; the token of the fence; for how many milliseconds it holds.
-- Returns the position of the record before, and of the record, and for each data key 1 when something was there, else 0.
-- Whoever fences a key that is fenced already joins the others: the key is free when the last has been lifted or has lapsed. A
-- fence that stands and is put again removes nothing: what is there came under it, such as the lease of a write. Trimming comes
-- first: a server that is out of memory refuses the rest unless the script has written.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.pcall('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
local removed, count = {}, (#KEYS - 2) / 2
for i = 1, count do
  removed[i] = raise(KEYS[2 + count + i], ARGV[4], now, ARGV[5])
  if removed[i] == 1 then
    removed[i] = redis.call('UNLINK', KEYS[2 + i])
  end
end
local previous, position = append(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, removed}
