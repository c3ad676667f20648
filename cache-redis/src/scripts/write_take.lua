-- KEYS: for each partition of a log its stream and what says who works on it.
-- ARGV: the worker; for how many milliseconds it may; how many writes it takes at the most; the partition to begin with.
-- Returns 0 when there is nothing to do, else the number of the partition, the writes, and how often the first was taken.
-- A write that was taken before, whose worker has died or failed, is given alone: if it is what kills, it takes no other
-- along. All workers are one consumer of the group, since one of them at a time works on a partition.
local count = #KEYS / 2
for i = 0, count - 1 do
  local number = (ARGV[4] + i) % count
  local stream, worker = KEYS[number * 2 + 1], KEYS[number * 2 + 2]
  if redis.call('EXISTS', worker) == 0 and redis.call('XLEN', stream) > 0 then
    if #redis.call('XINFO', 'GROUPS', stream) == 0 then
      -- Of nothing: a server that is out of memory refuses the rest unless the script has written.
      redis.call('UNLINK', worker)
      redis.call('XGROUP', 'CREATE', stream, 'writers', '0')
    end
    local pending = redis.call('XPENDING', stream, 'writers', '-', '+', 1)
    local again = pending[1] ~= nil
    local limit = again and 1 or ARGV[3]
    local from = again and '0' or '>'
    local found = redis.call('XREADGROUP', 'GROUP', 'writers', 'worker', 'COUNT', limit, 'STREAMS', stream, from)
    local writes = found and found[1] and found[1][2] or {}
    if writes[1] and not writes[1][2] then
      -- Somebody deleted it by hand.
      redis.call('XACK', stream, 'writers', writes[1][1])
    elseif writes[1] then
      redis.call('SET', worker, ARGV[1], 'PX', ARGV[2])
      return {number, writes, again and pending[1][4] + 1 or 1}
    end
  end
end
return 0
