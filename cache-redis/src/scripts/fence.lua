-- KEYS: the journal; the data keys.
-- ARGV: the record; the channel; the number of records to keep; the token of the fence; for how many milliseconds it holds.
-- Returns the position of the record before, and of the record, and for each data key 1 when something was there, else 0.
-- Whoever fences a key that is fenced already joins the others, so the key is free when the last has lifted its fence or
-- has let it lapse. Trimming comes first: a server that is out of memory refuses the rest unless the script has written.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = ARGV[4] .. struct.pack('>I8', now + ARGV[5])
redis.pcall('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
local removed = {}
for i = 2, #KEYS do
  local found = redis.pcall('GET', KEYS[i])
  local fences, last = '', now + ARGV[5]
  removed[i - 1] = found and 1 or 0
  if type(found) == 'string' and string.sub(found, 1, 4) == '\202\195\1F' then
    removed[i - 1] = 0
    for at = 5, #found - 23, 24 do
      local till = struct.unpack('>I8', found, at + 16)
      if till > now and string.sub(found, at, at + 15) ~= ARGV[4] then
        fences, last = fences .. string.sub(found, at, at + 23), math.max(last, till)
      end
    end
  end
  redis.call('SET', KEYS[i], '\202\195\1F' .. fences .. own, 'PX', string.format('%.0f', last - now))
end
local previous = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local position = redis.call('XADD', KEYS[1], '*', 'record', ARGV[1])
previous = previous[1] and previous[1][1] or '0-0'
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, removed}
