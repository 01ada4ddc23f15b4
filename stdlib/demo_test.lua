local demo = require "demo"

describe("the demo's charts", function()
  it("draws bars in eighths of a column and reports the columns used", function()
    local function bar(share, width)
      local text, used = demo.bar(share, width)
      return text .. "|" .. used
    end
    expect(bar(0, 10)).to.equal("|0")
    expect(bar(1, 4)).to.equal("████|4")
    expect(bar(0.5, 3)).to.equal("█▌|2")
    expect(bar(7, 2)).to.equal("██|2")
  end)

  it("groups digits", function()
    expect(demo.number(0)).to.equal("0")
    expect(demo.number(999)).to.equal("999")
    expect(demo.number(1000)).to.equal("1,000")
    expect(demo.number(1234567)).to.equal("1,234,567")
    expect(demo.number(-123456)).to.equal("-123,456")
  end)

  it("fits the terminal, whatever the names and numbers", function()
    for _, columns in ipairs { 40, 60, 80, 120 } do
      for _ = 1, 30 do
        local rows = {}
        for i = 1, math.random(1, 14) do
          rows[i] = { ("é"):rep(math.random(1, 70)), math.random(0, 10 ^ math.random(1, 7)) }
        end
        for _, line in ipairs(demo.chart(rows, columns)) do
          expect(utf8.len(line)).to.be_at_most(columns)
        end
      end
    end
  end)

  it("draws the longest bar for the largest number", function()
    local lines = demo.chart({ { "ana", 20 }, { "bo", 10 }, { "cy", 0 } }, 60)
    local function blocks(line) return select(2, line:gsub("█", "")) end
    expect(blocks(lines[1]) >= 2 * blocks(lines[2]) - 1).to.be_true()
    expect(blocks(lines[1]) > 0).to.be_true()
    expect(blocks(lines[3])).to.equal(0)
    expect(lines[1]).to.contain("67%")
  end)
end)
