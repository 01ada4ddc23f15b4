-- Company names taken apart: legal forms of many countries, and one canonical spelling for many written ones.
local firms = require "text.firms"
local text = require "text"

local function read(name) return firms.read(text.fold((name:gsub("[&+]", " and ")))) end
local function words(name) return table.concat(read(name).words, " ") end

describe("legal forms", function()
  it("are left out wherever names have them", function()
    for name, plain in pairs {
      ["Acme Trading GmbH & Co. KG"] = "acme trading", ["ACME TRADING, INC."] = "acme trading", ["Acme Trading S.p.A."] = "acme trading",
      ["Acme Trading Sp. z o.o."] = "acme trading", ["Acme Trading spółka z ograniczoną odpowiedzialnością"] = "acme trading",
      ["Acme Trading S.A. de C.V."] = "acme trading", ["Acme Trading, spol. s r.o."] = "acme trading",
      ["Acme Trading A/S"] = "acme trading",
      ["PT Acme Trading Tbk"] = "acme trading", ["ООО «Acme Trading»"] = "acme trading", ["SARL Acme Trading"] = "acme trading",
      ["Acme Trading Pvt. Ltd."] = "acme trading", ["Acme Trading Sdn. Bhd."] = "acme trading", ["Acme Trading d.o.o."] = "acme trading",
      ["Acme Trading Oy Ab"] = "acme trading", ["Acme Trading Co., Ltd."] = "acme trading", ["The Acme Trading Company"] = "acme trading",
      ["Acme Trading Limited Liability Company"] = "acme trading", ["Acme Trading GmbH Berlin"] = "acme trading berlin",
      ["Acme Trading B.V."] = "acme trading", ["Acme Trading OÜ"] = "acme trading", ["Acme Trading AB (publ)"] = "acme trading",
      ["Acme Trading Kft."] = "acme trading", ["Acme Trading Pty Ltd"] = "acme trading", ["Acme Trading s.r.o."] = "acme trading",
      ["Acme Trading Ltd. Şti."] = "acme trading", ["Acme Trading International Holdings"] = "acme trading",
    } do
      expect(text.company_name(name)).to.equal(plain)
    end
  end)

  it("that are all there is of a name stay", function()
    for name, plain in pairs { ["AG"] = "ag", ["The Limited"] = "limited", ["Co"] = "co", ["Sia"] = "sia", ["&"] = "and" } do
      expect(text.company_name(name)).to.equal(plain)
    end
  end)

  it("tell the country where only one has them", function()
    expect(read("Acme Sdn Bhd").form).to.equal("bhd")
    expect(read("Acme GmbH").countries).to.equal { AT = true, CH = true, DE = true, LI = true }
    expect(read("Acme").form).to.be_nil()
  end)
end)

describe("canonical words", function()
  it("are the same for what one word is written as", function()
    for _, same in ipairs {
      { "Müller & Söhne", "Mueller und Soehne", "MULLER AND SOHNE", "Mu\u{308}ller + So\u{308}hne" },
      { "Bright Tech Intl.", "Bright Technologies International" }, { "Smith Bros Mfg", "Smith Brothers Manufacturing" },
      { "I.B.M.", "IBM", "I B M" }, { "Ромашка", "Romashka", "РОМАШКА" }, { "Ørsted", "Oersted", "Orsted" },
      { "Groß Straßenbau", "Gross Strassenbau" }, { "L'Oréal", "LOreal" }, { "Acme™ Foods®", "Acme Food" },
      { "Alpha–Beta", "alpha beta" }, { "“Nord” Café", "Nord Cafe" },
    } do
      for i = 2, #same do expect(words(same[i])).to.equal(words(same[1])) end
    end
  end)

  it("of different words differ", function()
    for _, pair in ipairs { { "Studio 54", "Studio 45" }, { "Alpha Systems", "Alpha Solutions" }, { "Bär", "Bor" } } do
      expect(words(pair[1])).to_not.equal(words(pair[2]))
    end
  end)
end)
