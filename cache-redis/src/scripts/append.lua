-- What every script begins with that appends a record to the journal.
--
-- Appends `record` to `journal`, and returns the position of the record before it, "0-0" if there is none, and its own, which is
-- kept under `last` for the next one: reading the end of the stream takes longer than appending to it.
local function append(journal, last, record, limit)
  local position = redis.call('XADD', journal, 'NOMKSTREAM', 'MAXLEN', '~', limit, '*', 'record', record)
  if not position then
    -- The journal begins here, or was lost. What is kept is of one that is gone.
    position = redis.call('XADD', journal, '*', 'record', record)
    redis.call('SET', last, position)
    return '0-0', position
  end
  local previous = redis.call('SET', last, position, 'GET')
  if not previous then
    local two = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 2)
    previous = two[2] and two[2][1] or '0-0'
  end
  return previous, position
end

