-- KEYS: the journal; the nodes.
-- ARGV: the node; the position that it has applied; for how many milliseconds from now it may serve what it holds, whatever
-- its age; and for how many milliseconds what it has read or loaded itself.
-- Registers the node, keeps since when there are registrations at all and on which server, and returns the last entry of the
-- journal and the server's time. Of the nodes that have not been heard of for a minute longer than they may serve, some are
-- forgotten. Before anything is set: a server that is out of memory refuses that unless the script has written before.
local remembered = 60000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lapsed = {''}
local some = redis.call('HRANDFIELD', KEYS[2], 3, 'WITHVALUES')
for i = 1, #some, 2 do
  local till = string.match(some[i + 1], '^(%d+) %d+ %d+%-%d+ %d+$')
  if till and till + remembered < now then
    lapsed[#lapsed + 1] = some[i]
  end
end
redis.call('HDEL', KEYS[2], unpack(lapsed))
if redis.call('HSETNX', KEYS[2], 'since', string.format('%.0f', now)) == 1 then
  redis.call('HSET', KEYS[2], 'server', string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'))
end
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f %s %s %s', now + ARGV[3], ARGV[4], ARGV[2], ARGV[3]))
return {redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1), {tonumber(time[1]), tonumber(time[2])}}
