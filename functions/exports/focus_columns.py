"""The columns of a FOCUS export (docs/focus.md): those of FOCUS 1.2 that apply, and our own, which begin with `x_`."""

from __future__ import annotations

from exports.tables import Column, Kind

_NAMES = {
    Kind.TEXT: (
        "BillingAccountId BillingAccountName BillingCurrency PricingCurrency SubAccountId SubAccountName InvoiceId "
        "InvoiceIssuerName ProviderName PublisherName ServiceCategory ServiceSubcategory ServiceName ResourceId "
        "ResourceName ResourceType SkuId SkuMeter SkuPriceId SkuPriceDetails ChargeCategory ChargeClass "
        "ChargeDescription ChargeFrequency PricingCategory PricingUnit ConsumedUnit CommitmentDiscountId "
        "CommitmentDiscountName CommitmentDiscountCategory CommitmentDiscountType CommitmentDiscountStatus "
        "CommitmentDiscountUnit x_TransactionId x_TransactionType x_BillId x_OrderId x_Coverage x_PackageId "
        "x_Reason x_CorrectedTransactionId"
    ),
    Kind.TIME: "BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd x_ChargedAt",
    Kind.DETAIL: "BilledCost EffectiveCost ListCost ContractedCost PricingCurrencyEffectiveCost",
    # FOCUS has quantities as decimals; with decimals a reader that goes by the text takes them for such, too.
    Kind.PRICE: (
        "ListUnitPrice ContractedUnitPrice PricingCurrencyListUnitPrice PricingCurrencyContractedUnitPrice "
        "PricingQuantity ConsumedQuantity CommitmentDiscountQuantity"
    ),
    Kind.RATE: "x_DiscountRate",
    Kind.YUAN: "x_VoucherPaid x_GiftPaid x_IncomeTransferPaid x_CashPaid",
}


def _columns() -> tuple[Column, ...]:
    """FOCUS columns first and our own last, each group by the alphabet, as FOCUS recommends."""
    kinds = {name: kind for kind, names in _NAMES.items() for name in names.split()}
    return tuple(
        Column(name, name, name, kinds[name]) for name in sorted(kinds, key=lambda name: (name.startswith("x_"), name))
    )


FOCUS_COLUMNS = _columns()
