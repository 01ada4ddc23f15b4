local csv = require "csv"

local function all(source, options)
  local rows, lines = {}, {}
  for row, line in csv.rows(source, options) do
    rows[#rows + 1], lines[#lines + 1] = row, line
  end
  return rows, lines
end

local function message(fn, ...)
  local ok, why = pcall(fn, ...)
  expect(ok).to.equal(false)
  return tostring(why)
end

describe("csv.rows", function()
  it("gives records by the header, with their lines", function()
    local rows, lines = all("email,name\r\na@x.example,Ann\r\nb@x.example,Bo\r\n")
    expect(rows).to.equal { { email = "a@x.example", name = "Ann" }, { email = "b@x.example", name = "Bo" } }
    expect(lines).to.equal { 2, 3 }
  end)

  it("reads quotes, doubled quotes, line ends and delimiters inside of them", function()
    local rows, lines = all('a,b\n"x ""y""","1\r\n2,3"\n"",""\nlast,"one"')
    expect(rows[1]).to.equal { a = 'x "y"', b = "1\r\n2,3" }
    expect(rows[2]).to.equal { a = "", b = "" }
    expect(rows[3]).to.equal { a = "last", b = "one" }
    expect(lines).to.equal { 2, 4, 5 }
  end)

  it("skips a mark and empty lines, takes any line end and a quote inside of a field", function()
    local rows, lines = all("\xef\xbb\xbfa,b\n\n1,2\r\n\r\n3,4\r5,6\" tall\n\n")
    expect(rows).to.equal { { a = "1", b = "2" }, { a = "3", b = "4" }, { a = "5", b = '6" tall' } }
    expect(lines).to.equal { 3, 5, 6 }
  end)

  it("finds the delimiter out", function()
    for _, d in ipairs { ",", ";", "\t", "|" } do
      local text = ("name%samount\n\"Doe, J.; |\"%s3\nBo%s4\n"):gsub("%%s", d)
      expect(all(text)[1]).to.equal { name = "Doe, J.; |", amount = "3" }
    end
    expect(all("price\n1,5\n", { delimiter = ";" })[1]).to.equal { price = "1,5" }
    expect(all("a;b\n1,5;2,5\n3,0;4,0\n")[2]).to.equal { a = "3,0", b = "4,0" }
    expect(all("one\n1\n2\n")).to.equal { { one = "1" }, { one = "2" } }
    expect(all("a;b;c\n1;2\n4;5;6\n", { bad = print })).to.equal { { a = "4", b = "5", c = "6" } }
  end)

  it("names the file in what it raises", function()
    fs.write("leads.csv", "a;b\n1;2;3\n")
    expect(message(all, "leads.csv")).to.equal("leads.csv: line 2: 3 fields where 2 are expected")
    fs.write("leads.csv", "a;a\n")
    expect(message(all, "leads.csv")).to.contain('leads.csv: line 1: the header has "a" twice')
  end)

  it("reads other encodings, also in pieces that cut characters", function()
    expect(all("n,s\nM\xfcller,\x80\n", { encoding = "windows-1252" })[1]).to.equal { n = "Müller", s = "€" }
    local utf16 = "\xff\xfen\0,\0s\0\n\0\xfc\0,\0\x3d\xd8\x00\xde\n\0"
    for size = 1, #utf16 do
      local at = 1
      local rows = all(function()
        if at > #utf16 then return nil end
        local piece = utf16:sub(at, at + size - 1)
        at = at + size
        return piece
      end)
      expect(rows).to.equal { { n = "ü", s = "😀" } }
    end
    expect(message(all, "a\n\xfc\n")).to.contain("line 2: not UTF-8; say which encoding")
    expect(message(all, "a\n1\n", { encoding = "klingon" })).to.contain("klingon")
  end)

  it("raises for a row that is wrong, with its line", function()
    expect(message(all, "a,b\n1,2\n3\n")).to.contain("line 3: 1 field where 2 are expected")
    expect(message(all, 'a,b\n"x\ny",2\n1,2,3\n')).to.contain("line 4: 3 fields where 2 are expected")
    expect(message(all, 'a,b\n"x"y,2\n')).to.contain("line 2: a quoted field goes on behind its closing quote")
    expect(message(all, 'a,b\n1,2\n"x,2\n')).to.contain("line 3: the row that begins here has a quote that is never closed")
    expect(message(all, "a,a\n1,2\n")).to.contain('the header has "a" twice, in columns 1 and 2')
    expect(message(all, "a,\n1,2\n")).to.contain("column 2 of the header has no name")
    expect(message(all, "PK\3\4\n")).to.contain("export it as CSV")
    expect(message(all, 'a\n"' .. ("x\n"):rep(600000))).to.contain("is a quote not closed?")
  end)

  it("gives wrong rows to `bad` and goes on", function()
    local bad = {}
    local rows = all('a,b\n1\n"x"y,2\n3,4\n\xff,6\n7,8\n', { bad = function(p) bad[#bad + 1] = p end })
    expect(rows).to.equal { { a = "3", b = "4" }, { a = "7", b = "8" } }
    expect(#bad).to.equal(3)
    expect(bad[1].line).to.equal(2)
    expect(bad[1].fields).to.equal { "1" }
    expect(bad[2].line).to.equal(3)
    expect(bad[3].message).to.contain("line 5: not UTF-8")
  end)

  it("reads lists without a header, or by given names", function()
    expect(all("1,2\n3,4\n", { header = false })).to.equal { { "1", "2" }, { "3", "4" } }
    expect(message(all, "1,2\n3\n", { header = false })).to.contain("line 2: 1 field")
    expect(all("1,2\n", { header = { "x", "y" } })).to.equal { { x = "1", y = "2" } }
  end)

  it("takes nothing for nothing", function()
    expect(all("\n")).to.equal {}
    expect(all("\xef\xbb\xbf\n")).to.equal {}
    expect(all("a,b\n")).to.equal {}
    expect(all(function() return nil end)).to.equal {}
  end)

  it("names misuse at the script's line", function()
    expect(message(function() csv.rows("x\n", { headers = false }) end)).to.match("csv_test.lua:%d+: csv.rows: unknown option \"headers\"")
    expect(message(function() csv.rows("x\n", { delimiter = "::" }) end)).to.contain("delimiter is one character")
    expect(message(function() csv.rows {} end)).to.contain("the source is a path")
  end)
end)

describe("writing", function()
  it("gives back what was written", function()
    local rows = {
      { a = 'say "hi"', b = "1,2;3", c = "x\r\ny" }, { a = "", b = " blank ", c = "ü" }, { a = 12, b = 2.0, c = true },
    }
    local text = csv.format(rows, { columns = { "a", "b", "c" }, bom = true })
    expect(text:sub(1, 10)).to.equal("\xef\xbb\xbfa,b,c\r\n")
    expect(all(text)).to.equal {
      rows[1], rows[2], { a = "12", b = "2", c = "true" },
    }
    expect(all(csv.format({ { "" }, { "x" } }, { columns = { "one" } }))).to.equal { { one = "" }, { one = "x" } }
    for _, d in ipairs { ";", "\t", "|" } do
      expect(all(csv.format(rows, { columns = { "a", "b", "c" }, delimiter = d }), { delimiter = d })[1]).to.equal(rows[1])
    end
  end)

  it("makes formulas text for spreadsheets", function()
    expect(csv.format({ { "=1+1", "-2", -2, "a" } }, { spreadsheet = true })).to.equal("'=1+1,'-2,-2,a\r\n")
  end)

  it("writes a file whole or not at all", function()
    local w = csv.writer("out/sub/list.csv", { columns = { "n", "square" } })
    for i = 1, 30000 do w:write { n = i, square = i * i } end
    expect(pcall(fs.read, "out/sub/list.csv")).to.equal(false)
    w:close()
    local n, sum = 0, 0
    for row in csv.rows("out/sub/list.csv") do
      n, sum = n + 1, sum + row.square - row.n * row.n
    end
    expect(n).to.equal(30000)
    expect(sum).to.equal(0)
    local other = csv.writer("out/sub/list.csv")
    other:write { "x" }
    expect(message(csv.writer, "out/sub/list.csv")).to.contain("it is being written already")
    other.file:drop()
    expect(#fs.read("out/sub/list.csv") > 100000).to.equal(true)
  end)
end)

describe("fs", function()
  it("reads, writes and replaces", function()
    fs.write("a/b.txt", "one")
    fs.write("a/b.txt", "")
    expect(fs.read("./a//b.txt")).to.equal("")
    fs.write("/elsewhere/c.bin", "\0\xff")
    local file = fs.open("/elsewhere/c.bin")
    expect(file:read(1)).to.equal("\0")
    expect(file:read()).to.equal("\xff")
    expect(file:read()).to.be_nil()
    file:close()
    expect(message(file.read, file)).to.contain("closed")
  end)

  it("drops what is left without close, also by an error or in time", function()
    fs.write("kept.txt", "old")
    for _ = 1, 50 do
      do
        local file <close> = fs.open("kept.txt", "w")
        file:write("half")
      end
      expect(message(function()
        local file <close> = fs.open("kept.txt", "w")
        file:write(("x"):rep(100000))
        error("no more")
      end)).to.contain("no more")
      expect(task.race { function() fs.open("kept.txt", "w"):write("half") end, function() return "first" end }).to.equal("first")
      expect(message(function()
        local file = fs.open("kept.txt")
        file:read(1)
        file:drop()
        file:read(1)
      end)).to.contain("closed")
    end
    local file = fs.open("kept.txt")
    local got = task.all { function() return file:read(1) end, function() return message(file.read, file) end }
    expect(got[1]).to.equal("o")
    expect(got[2]).to.contain("another task reads or writes kept.txt right now")
    expect(fs.read("kept.txt")).to.equal("old")
  end)

  it("lists a folder in order, and removes files and empty folders", function()
    for _, name in ipairs { "b.txt", "a.txt", "Z.txt", "sub/one.txt" } do fs.write("out/" .. name, "x") end
    do
      local left <close> = fs.open("out/half.txt", "w")
      expect(fs.list("out/")).to.equal { "Z.txt", "a.txt", "b.txt", "sub/" }
      left:write("x")
    end
    expect(fs.list("/")).to.equal { "out/" }
    expect(fs.remove("out/a.txt")).to.be_true()
    expect(fs.remove("out/a.txt")).to.be_false()
    expect(fs.remove("nowhere/a.txt")).to.be_false()
    expect(message(fs.remove, "out/sub")).to.contain("cannot remove out/sub")
    expect(fs.remove("out/sub/one.txt")).to.be_true()
    expect(fs.remove("out/sub")).to.be_true()
    expect(fs.list("out")).to.equal { "Z.txt", "b.txt" }
    local _, why = pcall(fs.list, "nowhere")
    expect(why.kind).to.equal("not_found")
    expect(message(fs.list, "out/b.txt")).to.contain("it is no folder")
    expect(message(fs.list, "..")).to.contain("cannot go up")
  end)

  it("says what is wrong", function()
    local ok, why = pcall(fs.read, "nothing.txt")
    expect(ok).to.equal(false)
    expect(why.kind).to.equal("not_found")
    expect(message(fs.read, "a/../b")).to.match("a path cannot go up")
    expect(message(fs.read, "..")).to.contain("cannot go up")
    expect(message(fs.read, "")).to.contain("a path has")
    expect(message(fs.write, "folder/", "x")).to.contain("names a folder")
    fs.write("d/e", "x")
    expect(message(fs.write, "d", "x")).to.contain("it is a folder")
    expect(message(fs.read, "d")).to.contain("it is a folder")
    expect(message(fs.write, "d/e/f", "x")).to.contain("d/e/f")
  end)
end)
